"""The class seen at once: marks, exercises, mistakes, hand-ins and alike answers, as one page, as CSV and as JSON.

record ──▶ summary ──▶ page, tables
              ▲
    numbers, alike, figures
"""
