"""The paper held against itself: its printed numbers against each other and against its text.

Every value is computed from `data_manifests/paper_tables.csv`; what the text claims is quoted with
its section. A difference of 0.1 is the smallest that the tables can show, and is named as such.
"""
