"""Sphinx's settings for the course's site. Nothing is loaded from elsewhere."""

project = "From the ELBO to a diffusion model"
extensions = ["myst_nb", "autograder.handout.mathml"]
nb_execution_mode = "off"
nb_code_prompt_hide = "Fold"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
html_theme = "furo"
html_title = project
html_static_path = ["site.css"]
html_favicon = "icon.svg"
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_math_renderer = "mathml"
exclude_patterns = ["extra", "conf.py"]
suppress_warnings = ["myst.header", "config.cache"]
