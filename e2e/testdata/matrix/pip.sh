# pip installs a package with core metadata and hashes.
gatehouse exec --domain acme --repository lib -- twine upload --non-interactive "$WHEEL"
case $LOGIN in
ours) gatehouse login --tool pip --domain acme --repository lib ;;
aws) aws1 codeartifact login --tool pip --domain acme --repository lib ;;
esac
case $LOGIN,$(pip --version) in
"ours,pip 22."*) run='gatehouse exec --domain acme --repository lib -- pip' ;; # it asks no helper
*) run=pip ;;
esac
$run --version
$run install --target got "$PKG"
test -f "got/$MODULE.py"
$run download --no-deps --dest saved "$PKG==1.0.0"
