"""From a folder of runs to tables, figures and reports: HTML, Markdown and LaTeX."""
