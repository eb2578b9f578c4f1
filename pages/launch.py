"""Launch: build an experiment, see what it will take, start it."""

from compat_core.ui import launch_form
from compat_core.ui.frame import begin

begin("Launch", "Two model versions, the methods between them, your images. Everything is checked before it starts.")

start, key = launch_form.starting_point()
config = launch_form.checked(launch_form.filled_in(start, key))
if config is not None:
    launch_form.start_buttons(config, launch_form.forecast(config))
