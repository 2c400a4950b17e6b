gatehouse login --tool poetry --domain acme --repository lib
poetry --version
mkdir -p pkg/"$MODULE" app
echo 'VERSION = "1.0.0"' >pkg/"$MODULE"/__init__.py
project() { # project NAME
	printf '[tool.poetry]\nname = "%s"\nversion = "1.0.0"\ndescription = ""\nauthors = []\n\n[tool.poetry.dependencies]\npython = ">=3.9"\n\n[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n' "$1"
}
project "$PKG" >pkg/pyproject.toml
(cd pkg && poetry -n publish --build -r acme-lib)
cd app
project app >pyproject.toml
poetry -n source add --priority=primary acme-lib "$URL/codeartifact/$AWS_REGION/000000000001/acme/pypi/lib/simple/"
poetry -n add "$PKG"
.venv/bin/python -c "import $MODULE"
