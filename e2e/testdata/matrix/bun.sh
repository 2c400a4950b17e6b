case $LOGIN in
ours) gatehouse login --tool bun --domain acme --repository lib ;;
aws) aws1 codeartifact login --tool npm --domain acme --repository lib ;;
esac
bun --version
mkdir pkg app
echo "{\"name\":\"$PKG\",\"version\":\"1.0.0\",\"main\":\"index.js\"}" >pkg/package.json
echo 'module.exports = 42' >pkg/index.js
(cd pkg && bun publish)
cd app
echo '{"name":"app","private":true}' >package.json
bun add "$PKG"
node -e "if (require('$PKG') !== 42) process.exit(1)"
