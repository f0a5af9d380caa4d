"""A model on a frame: a session on the best runtime here, what it is given, and what it says.

`session` runs a bundle's model, `tuned` knows how it runs best here; `stages` prepares, infers and decodes, `crops`
does so for parts of a picture, `ahead` before it is asked; `golden` proves with `expectation` that this device's
kernels compute what they should; `predict` looks at single pictures.
"""
