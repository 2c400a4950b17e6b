case $LOGIN in
ours) gatehouse login --tool npm --domain acme --repository lib ;;
aws) aws1 codeartifact login --tool npm --domain acme --repository lib ;;
esac
npm --version
mkdir pkg app
echo "{\"name\":\"$PKG\",\"version\":\"1.0.0\",\"main\":\"index.js\"}" >pkg/package.json
echo 'module.exports = 42' >pkg/index.js
(cd pkg && npm publish)
npm view "$PKG" version
npm dist-tag add "$PKG@1.0.0" stable
cd app
echo '{"name":"app","private":true}' >package.json
npm install "$PKG"
node -e "if (require('$PKG') !== 42) process.exit(1)"
rm -r node_modules
npm ci
node -e "if (require('$PKG') !== 42) process.exit(1)"
