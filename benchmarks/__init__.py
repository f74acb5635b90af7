"""Measurements of obeaver and its peers on this machine: `python -m benchmarks --help`.

load        requests and when they are sent: schedules, prompts, clients that cost little
contenders  what is measured: obeaver's servers, peers' servers, engines in processes of their own
questions   what is asked of them: each question measures several contenders in turns
results     what came out: rows, statistics, tables, plots, comparison of two runs
"""
