"""Which laws each bug of the zoo breaks, with seed 0: the kill matrix, for the diagnosis.

The matrix in docs/testing.md is the same, and the tests compare the two.
"""

ROWS = """
1: rate positions unbiased variance counts units calls layers seeds seed_steps
2: rate unbiased variance counts
3: support strides backward_scale no_grad rate unbiased variance counts shape
4: backward_scale rate positions unbiased variance counts units calls layers seeds seed_steps seed
    state shape nonfinite
5: support strides backward_scale no_grad rate positions variance counts units calls layers seeds
    seed_steps seed state dtype shape nonfinite
6: rate unbiased variance
7: rate unbiased variance
8: rate
9: positions counts shape
10: positions counts shape
11: positions counts units calls seeds
12: positions counts shape
13: counts units calls layers seeds seed_steps
14: support strides backward_scale no_grad unbiased variance dtype shape nonfinite
15: support strides backward_scale no_grad unbiased variance shape
16: support strides backward_scale no_grad unbiased variance dtype shape nonfinite
17: support strides backward_scale no_grad unbiased variance dtype shape nonfinite
18: support strides input_untouched backward_mask backward_scale backward_again no_grad unbiased
    variance layers state dtype shape nonfinite aliasing
19: support strides backward_scale no_grad rate positions unbiased variance counts units calls
    layers seeds seed_steps seed dtype shape nonfinite
20: support strides backward_scale no_grad rate positions unbiased variance counts units calls
    layers seeds seed_steps seed dtype shape nonfinite
21: evaluation quiet
22: evaluation quiet
23: evaluation
24: no_grad
25: evaluation containers quiet
26: evaluation containers p_one quiet
27: evaluation quiet
28: p_one
29: p_one
30: p_zero p_one
31: boundary
32: boundary
33: bad_p
34: bad_p
35: support strides no_grad dtype shape
36: nonfinite
37: positions counts units seed state bad_p shape nonfinite
38: strides
39: strides input_untouched unbiased variance blind nonfinite
40: aliasing
41: inplace
42: inplace
43: backward_mask backward_again state nonfinite aliasing
44: no_grad
45: strides backward_scale shape nonfinite
46: strides backward_mask backward_scale shape nonfinite
47: backward_mask nonfinite
48: strides backward_scale shape nonfinite aliasing
49: backward_mask
50: strides input_untouched backward_mask backward_scale backward_again layers state dtype shape
    nonfinite aliasing
51: rate positions unbiased variance counts units calls layers seeds
52: rate positions unbiased variance counts units calls layers seeds seed_steps
53: counts units calls seeds
54: counts units calls seeds
55: units calls seeds
56: counts units calls seeds
57: counts units
58: unbiased variance blind nonfinite
59: positions counts calls layers seeds seed_steps seed shape
60: positions counts calls layers seeds state shape
61: calls layers seeds seed state quiet
62: no_grad calls layers seeds seed state
63: calls seeds
64: positions counts calls layers seeds seed_steps seed state
65: layers seed state
66: streams ranks
67: streams
68: seeds
69: seeds seed_steps
70: seed state
71: seed state
72: state
73: quiet
74: quiet
75: rate
76: backward_again aliasing
77: seeds seed_steps
78: streams ranks
79: p_one
80: blocks
81: rows
82: rows
83: rows
"""


def _read(rows: str) -> dict[int, frozenset[str]]:
    found = {}
    for row in rows.strip().replace("\n    ", " ").splitlines():
        number, _, names = row.partition(": ")
        found[int(number)] = frozenset(names.split())
    return found


#: the names of the laws by the number of the bug
KILLS = _read(ROWS)
