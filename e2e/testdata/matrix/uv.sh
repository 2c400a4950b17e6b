gatehouse login --tool uv --domain acme --repository lib
uv --version
uv publish --index acme-lib "$WHEEL"
uv pip install --python "$PY" --target got "$PKG"
test -f "got/$MODULE.py"
uv venv --python "$PY" .venv
uv pip install --no-cache "$PKG"
.venv/bin/python -c "import $MODULE"
