"""Retrieval on BigEarthNet v2, within and across Sentinel-1 and Sentinel-2.

Paper     protocol of CSMAE, arXiv 2401.07782, as its code has it: queries from validation, archive
          from test, F1 at 10 as harmonic mean of mean precision and mean recall of 19 classes.
Command   smarties data prepare bigearthnet-v2 --out records/bigearthnet, once; then
          smarties evaluate --config configs/retrieval_bigearthnet.py:records --weights runs/x
          or directly on the archive: configs/retrieval_bigearthnet.py, with $BIGEARTHNET set.
          mAP and NDCG as in MiLaN and GRID: --config.denominator=hits --config.ideal=retrieved
Hardware  one GPU embeds the 242,000 pairs twice; metrics take seconds.
Expect    71 across sensors, both ways, for CSMAE-SECD with the latent loss, on v1 (second hand);
          not run here. Weights that were trained on v1 have seen parts of these splits.
"""
