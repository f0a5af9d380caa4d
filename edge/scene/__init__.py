"""A camera's view: what a result shows of it, who is followed in it, where they stand, and what of that is news.

`sighting` is what a result shows, whichever the task; `tracks` follows objects from frame to frame, `scene` counts
labels without following; `zones` are parts of the view with a name; `view` puts them together, camera by camera.
"""
