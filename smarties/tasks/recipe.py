"""How a model is adapted: the `task` section of classification and segmentation."""

import dataclasses
from typing import Literal

from smarties.data import labelled
from smarties.errors import UserError, unknown
from smarties.models import heads
from smarties.spectrum import mixing
from smarties.tasks import embedding, fusion

Mode = Literal["linear_probe", "finetune", "partial", "lora"]
Fusion = fusion.Fusion
MODES: tuple[Mode, ...] = ("linear_probe", "finetune", "partial", "lora")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The `task` section of a configuration that adapts a model.

    Attributes:
      name: "classification" or "segmentation".
      weights: run directory, file or hub name of the pretrained encoder; "" starts from random.
      mode: what is trained beside the head: "linear_probe" nothing, "finetune" all, "partial" the
        last `train_blocks` blocks and the final norm, "lora" adapters of rank `lora_rank` of the
        attention projections, times `lora_scale`.
      labels: "single", "multi", or "map" for segmentation.
      fusion: of several sensors, see `fusion.Fused`.
      size: side of the images the encoder sees, pixels; 0 for that of pretraining.
      pooling: of the features of classification.
      head, head_width: of segmentation, see `heads`; `final_norm`: whether a linear or
        convolutional head sees tokens after the final norm.
      layer_decay: the learning rate of a layer over that of the next.
      drop_path: see `transformer.Transformer`.
      mixup, cutmix: see `views.mix`; label_smoothing: see `losses.classification`.
      crop_area, flips: as of pretraining.
      rule, spectrum: of the mixing matrices, where the weights do not say.
    """

    name: str = "classification"
    weights: str = ""
    mode: Mode = "linear_probe"
    labels: labelled.Kind = "single"
    fusion: Fusion = "concat"
    size: int = 0
    pooling: embedding.Pooling = "cls"
    head: heads.Kind = "linear"
    head_width: int = 256
    final_norm: bool = False
    train_blocks: int = 0
    lora_rank: int = 8
    lora_scale: float = 1.0
    layer_decay: float = 1.0
    drop_path: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0
    crop_area: tuple[float, float] = (1.0, 1.0)
    flips: bool = True
    rule: mixing.Rule = "linear"
    spectrum: str = "smarties-v1"

    def __post_init__(self):
        for key, known in (
            ("mode", MODES),
            ("labels", labelled.KINDS),
            ("fusion", fusion.FUSIONS),
            ("pooling", embedding.POOLINGS),
            ("head", heads.KINDS),
            ("rule", mixing.RULES),
        ):
            if getattr(self, key) not in known:
                raise unknown(f"task.{key}", getattr(self, key), known)
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise UserError(f"task.crop_area is {self.crop_area}: 0 < smallest <= largest <= 1")
        for key in ("drop_path", "label_smoothing"):
            if not 0 <= getattr(self, key) < 1:
                raise UserError(f"task.{key} is {getattr(self, key)}: 0 or more, and below 1")
        if not 0 < self.layer_decay <= 1 or min(self.mixup, self.cutmix) < 0:
            raise UserError("task.layer_decay lies above 0, to 1; mixup and cutmix are 0 or more")
        if self.mode == "linear_probe" and self.drop_path:
            raise UserError(
                "task.drop_path has no meaning for a frozen encoder: 0 for linear_probe"
            )
