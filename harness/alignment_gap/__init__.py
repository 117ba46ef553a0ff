"""What a grid says of the alignment gap.

Arrays at the bottom (`correlation`, `intervals`, `checkpoint_pairs`), one analysis a file over them, and labels on top
(`gap_tables.analyse_grid`). No file here imports torch or knows where numbers come from.
"""
