"""Methods: opened cases -> edited pictures. One small file each, behind one protocol.

Files in the order of the flow:

    protocol  what every method is, a stranger's too
"""
