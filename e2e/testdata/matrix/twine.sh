case $LOGIN in
ours) gatehouse login --tool twine --domain acme --repository lib; repository=acme-lib ;;
aws) aws1 codeartifact login --tool twine --domain acme --repository lib; repository=codeartifact ;;
esac
twine --version
twine upload --non-interactive --repository "$repository" "$WHEEL"
gatehouse exec --domain acme --repository lib -- "$PY" -m pip install --target got "$PKG"
test -f "got/$MODULE.py"
