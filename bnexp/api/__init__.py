"""What a notebook, a script and the command line call: declare, plan, run, load, look.

`bnexp.study`, `bnexp.sweep` and `bnexp.load` come from here when they are first asked for.
"""
