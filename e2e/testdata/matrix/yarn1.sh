gatehouse login --tool yarn1 --domain acme --repository lib
yarn --version
mkdir pkg app
echo "{\"name\":\"$PKG\",\"version\":\"1.0.0\",\"main\":\"index.js\"}" >pkg/package.json
echo 'module.exports = 42' >pkg/index.js
(cd pkg && yarn publish --non-interactive --new-version 1.0.0)
cd app
echo '{"name":"app","private":true}' >package.json
yarn add --non-interactive "$PKG"
node -e "if (require('$PKG') !== 42) process.exit(1)"
