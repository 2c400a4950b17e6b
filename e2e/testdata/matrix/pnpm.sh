case $LOGIN in
ours) gatehouse login --tool pnpm --domain acme --repository lib ;;
aws) aws1 codeartifact login --tool npm --domain acme --repository lib ;;
esac
pnpm --version
mkdir pkg app
echo "{\"name\":\"$PKG\",\"version\":\"1.0.0\",\"main\":\"index.js\"}" >pkg/package.json
echo 'module.exports = 42' >pkg/index.js
(cd pkg && pnpm publish --no-git-checks)
cd app
echo '{"name":"app","private":true}' >package.json
pnpm add "$PKG"
node -e "if (require('$PKG') !== 42) process.exit(1)"
rm -r node_modules
pnpm install --frozen-lockfile
node -e "if (require('$PKG') !== 42) process.exit(1)"
# What pnpm 10 and older leave to npm needs a login of npm's, as login says.
[ "$LOGIN" = aws ] || gatehouse login --tool npm --domain acme --repository lib
pnpm view "$PKG" version
rm -r node_modules
pnpm install --frozen-lockfile
