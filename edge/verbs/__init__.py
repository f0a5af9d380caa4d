"""The verbs of `gluon-edge`, a file each: `add` says how one is called, the rest does it.

Libraries are imported by the verb that needs them, so that no other waits for them.
"""
