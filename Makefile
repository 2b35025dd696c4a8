.PHONY: fmt lint types test check demo bench

fmt:
	ruff format .

lint:
	ruff format --check .
	ruff check .

types:
	mypy

test:
	pytest

check: lint types test

demo:
	iirs-demo

bench:
	python benchmarks/latency.py
	python benchmarks/meter.py
