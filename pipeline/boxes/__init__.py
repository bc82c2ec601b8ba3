"""Boxes: tables -> BOXES -> the first rule that drops each row.

Files in the order of the flow:

    hashed_files    a table's URL -> an open file that is hashed as it is read
    listing         what a flag names -> tables, none of them twice
    csv_blocks      an open CSV -> blocks of lines -> BOXES, and lines that are not rows
    malformed       BOXES -> why a row cannot be a box
    row_problems    a row -> what is wrong with it, in words; many rows -> the likely cause
    tables          tables -> BOXES, streamed: all of the above
    first_problems  tables -> the first bad rows, and the likely cause
    filters         BOXES -> the first rule that drops each row
    denied          the CSV of --deny -> boxes, and photos, to be taken out
    class_names     a table of labels -> label -> name
"""
