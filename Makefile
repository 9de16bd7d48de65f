# What takes longer than `./check`. Each target sets up what it needs.
.PHONY: check setup bench pictures soak monitors servers integration site lock

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

monitors: setup     # with MLflow, which is too large for every check
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mlflow]'
	.venv/bin/pytest -q tests/test_monitors.py tests/test_mlflow.py
	.venv/bin/pytest -q tests/test_docs.py -k monitors

servers:            # PostgreSQL, and an object store that speaks S3's protocol in an environment of its own
	@ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || command -v initdb > /dev/null || (apt-get update -qq && apt-get install -qq -y postgresql)
	@test -x .venv-servers/bin/moto_server || python3 -m venv .venv-servers
	.venv-servers/bin/pip install --quiet --disable-pip-version-check 'moto[s3]>=5' flask flask-cors

integration: setup servers   # with real servers, and MLflow
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mlflow,databases,objects]'
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
