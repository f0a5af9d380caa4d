"""Components of AWS IoT Greengrass, made on the workstation: artifacts, recipes, and what is wrong with a recipe."""
