# What takes longer than `./check`. Each target sets up what it needs.
.PHONY: check setup bench pictures soak integration site lock

check:
	./check

setup:
	@./check --collect-only -q > /dev/null

bench: setup        # large data: memory and time; docs/benchmarks.md beside the peers, an hour, 20 GB of memory and of disk
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements.txt
	-.venv/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements-optional.txt
	.venv/bin/pytest -q -s -m bench
	.venv/bin/python benchmarks/predicted_steps.py
	.venv/bin/python benchmarks/speed.py

soak: setup         # long: kills and resumes, and 20,000 fuzzed files (tests/fuzz)
	.venv/bin/pytest -q -s -m soak

integration: setup   # all that is tested with real servers
	.venv/bin/pytest -q -s -m integration

pictures: setup     # the numbers and the pictures of docs/how-gradient-descent-finds-the-line.md
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	.venv/bin/python benchmarks/lecture_pictures.py

site:               # the documentation in build/site, from docs/; needs no network to be read
	@test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[site]'
	.venv/bin/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/site
	@echo "open build/site/index.html"

lock:               # after a change of dependencies; needs uv
	uv lock
	uv export --all-extras --no-hashes --no-emit-project --no-annotate --no-header -o constraints.txt
