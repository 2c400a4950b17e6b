# Only newer releases read endpoint_url from the profile.
a() { aws --endpoint-url "$URL" "$@"; }
a --version
a codeartifact login --tool npm --domain acme --repository lib
mkdir pkg
echo "{\"name\":\"$PKG\",\"version\":\"1.0.0\"}" >pkg/package.json
(cd pkg && npm publish)
npm view "$PKG" version
a codeartifact login --tool twine --domain acme --repository lib
twine upload --non-interactive --repository codeartifact "$WHEEL"
a codeartifact login --tool pip --domain acme --repository lib
"$PY" -m pip install --target got "$PKG"
a codeartifact list-package-versions --domain acme --repository lib --format npm --package "$PKG" --query 'versions[].version' --output text | grep -x 1.0.0
a ecr create-repository --repository-name "matrix/$PKG"
a ecr get-login-password | crane auth login -u AWS --password-stdin "$HOST"
tar -C "$(dirname "$WHEEL")" -cf layer.tar "$(basename "$WHEEL")"
crane append --new_layer layer.tar --new_tag "$HOST/matrix/$PKG:v1" --output image.tar
crane push image.tar "$HOST/matrix/$PKG:v1"
a ecr describe-images --repository-name "matrix/$PKG" --query 'imageDetails[].imageTags' --output text | grep -x v1
crane pull "$HOST/matrix/$PKG:v1" pulled.tar
