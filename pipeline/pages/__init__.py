"""Pages: pictures, numbers and templates -> HTML files that ask for nothing outside themselves.

Files in the order of the flow:

    thumbnails  pixels -> small pictures as data URIs, the outlines of masks as SVG paths
    svg         places and texts -> the shapes of a chart
    rendering   a template and values -> one HTML file

What all pages have in common, the frame and its style, lies in templates/.
"""
