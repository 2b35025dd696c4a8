.PHONY: fmt lint types quick test coverage check demo bench fuzz words pictures

QUICK = -n logical -m "not realtime and not window and not slow"
TARGETS = decoders peer links
SECONDS = 600

fmt:
	ruff format .

lint:
	ruff format --check .
	ruff check .

types:
	mypy

quick:
	pytest $(QUICK)

test:
	pytest

coverage:
	coverage erase
	coverage run -m pytest $(QUICK)
	coverage combine -q
	coverage report --fail-under=95

check: lint types test

demo:
	iirs-demo

bench:
	python benchmarks/latency.py
	python benchmarks/bursts.py
	python benchmarks/meter.py
	python benchmarks/pictures.py
	xvfb-run -a python benchmarks/window.py
	python benchmarks/send_times.py

fuzz: # make fuzz SECONDS=60 TARGETS=links
	for target in $(TARGETS); do \
	  mkdir -p build/fuzz/$$target && \
	  python -m fuzz $$target build/fuzz/$$target fuzz/corpus/$$target -dict=fuzz/words.dict \
	    -max_total_time=$(SECONDS) -artifact_prefix=build/fuzz/$$target- || exit 1; \
	done

words:
	python packaging/words.py

pictures:
	xvfb-run -a -s "-screen 0 1280x900x24" python docs/pictures.py
