.PHONY: fmt lint types test check demo bench words pictures

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
	xvfb-run -a python benchmarks/window.py

words:
	python packaging/words.py

pictures:
	xvfb-run -a -s "-screen 0 1280x900x24" python docs/pictures.py
