# Short names for the commands of CONTRIBUTING.md: `just` lists them. Each works without just, too.

python := env("PYTHON", "python")

_list:
    @just --list --unsorted

# Build the Scheme guest from wasm/ and prelude/, where they have changed
guest:
    {{ python }} build/make_guest.py --if-changed

# Run the tests, or those that are named: just test tests/cli -k options
test *arguments:
    {{ python }} -m pytest {{ arguments }}

# Check types, style, formatting, and that the generated docs are current
check:
    {{ python }} -m mypy --strict rlm_wasm
    {{ python }} -m mypy --strict tests/typing/api.py
    {{ python }} -m ruff check .
    {{ python }} -m ruff format --check .
    {{ python }} build/make_docs.py --check

# Mend what ruff can mend, and format
fix:
    {{ python }} -m ruff check --fix .
    {{ python }} -m ruff format .

# Write what is generated in docs/
docs:
    {{ python }} build/make_docs.py

# Make the native debug build
native *arguments:
    {{ python }} build/native.py {{ arguments }}

# Measure latency and the speed of the machine
bench:
    {{ python }} benchmarks/latency.py
    {{ python }} benchmarks/vm_speed.py

# Measure beside pydantic-monty, CPython, quickjs and mini-racer, those that are installed
peers *arguments:
    {{ python }} benchmarks/compare.py {{ arguments }}

# Let the Nth thing fail, for every N: fuel, memory, calls, cancellation, the store
sweep *arguments:
    {{ python }} tests/proof sweep {{ arguments }}

# Random programs and damaged inputs, from a new seed: just fuzz --seconds 3600
fuzz *arguments:
    {{ python }} tests/proof fuzz {{ arguments }}

# Random programs against Racket's output, numbers against Python's, from a new seed
compare *arguments:
    {{ python }} tests/proof compare {{ arguments }}

# 100,000 executions in sessions that are cancelled, forked, starved: memory stays where it was
soak *arguments:
    {{ python }} tests/proof soak {{ arguments }}

# Whether a standard job takes more fuel than before; --update accepts it
regress *arguments:
    {{ python }} benchmarks/regress.py {{ arguments }}
