"""What this machine and this process use: memory of each kind of device, and the process's own.

`sources` is the table of who tells of which device; each has its module. A device that is not there, or that cannot be
asked, is `unavailable` with zeros: nothing is ever estimated.
"""
