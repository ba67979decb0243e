"""What is nearest, and that a query may be kept from finding itself."""

import numpy as np

from smarties.inference import two_sensors


def test_a_query_is_left_out_of_its_own_ranking():
    archive = np.random.default_rng(0).normal(size=(30, 4))
    queries = archive[[3, 7, 11]]
    order = np.argsort(-two_sensors.neighbours.cosine(queries, archive), axis=1)
    own = np.array([3, 7, -1])  # the third may find itself
    rows = two_sensors.ranked(queries, archive, 29, own)
    assert (
        rows[:2].tolist() == order[:2, 1:].tolist() and rows[2].tolist() == order[2, :29].tolist()
    )
    hidden = two_sensors.ranked(queries, archive, 4, np.array([order[0, 9], 7, -1]))
    assert hidden[0].tolist() == order[0, :4].tolist()  # what is left out was not near anyway
