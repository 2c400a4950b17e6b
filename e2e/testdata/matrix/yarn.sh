gatehouse login --tool yarn --domain acme --repository lib --scope @acme
PKG=@acme/$PKG
yarn --version
mkdir pkg app
echo "{\"name\":\"$PKG\",\"version\":\"1.0.0\",\"main\":\"index.js\"}" >pkg/package.json
echo 'module.exports = 42' >pkg/index.js
for dir in pkg app; do
	printf 'nodeLinker: node-modules\nenableGlobalCache: false\n' >$dir/.yarnrc.yml
	: >$dir/yarn.lock
done
(cd pkg && yarn install && yarn npm publish)
cd app
echo '{"name":"app","private":true}' >package.json
yarn add "$PKG" # published just now, which passes Yarn's age gate for this scope
node -e "if (require('$PKG') !== 42) process.exit(1)"
yarn npm info "$PKG" --fields version
