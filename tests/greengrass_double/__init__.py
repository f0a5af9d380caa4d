"""The test double of the Greengrass nucleus; what is specific to it stays in this folder."""

from greengrass_double.client import RefusalError
from greengrass_double.limits import CLASSIC, LITE, Nucleus
from greengrass_double.server import Double

__all__ = ["CLASSIC", "LITE", "Double", "Nucleus", "RefusalError"]
