"""Sheet: samples, edits or trainings -> one HTML file that anybody can open, with all pictures inside.

Files in the order of the flow:

    cards         index rows -> what the page shows of each sample
    charts        totals and rows -> bars and histograms
    curves        the logs of trainings -> their losses as SVG
    page          cards and charts -> HTML
    edit_cards    edits -> what the page shows of each
    edits_page    edit cards -> HTML
    score_curves  the scores of sample grids -> their curves
    run_cards     a training -> what the page shows of it: sample grids and their scores, worst and best samples
    run_page      run cards and curves -> HTML
    writing       a folder and flags -> its sheet on disk

The pages themselves and what of their style is theirs alone lie in templates/; the rest is pipeline.pages'.
"""
