gatehouse exec --domain acme --repository lib -- twine upload --non-interactive "$WHEEL"
python - <<'END'
import base64, os, urllib.request
import boto3

url, name = os.environ["URL"], os.environ["PKG"]
print(boto3.__version__)
codeartifact = boto3.client("codeartifact", endpoint_url=url)
token = codeartifact.get_authorization_token(domain="acme")["authorizationToken"]
endpoint = codeartifact.get_repository_endpoint(domain="acme", repository="lib", format="npm")["repositoryEndpoint"]
request = urllib.request.Request(endpoint + "-/ping", headers={"Authorization": "Bearer " + token})
assert urllib.request.urlopen(request).status == 200

package = dict(domain="acme", repository="lib", format="pypi", package=name)
versions = codeartifact.list_package_versions(**package)["versions"]
assert [v["version"] for v in versions] == ["1.0.0"], versions
wheel = open(os.environ["WHEEL"], "rb").read()
asset = codeartifact.get_package_version_asset(**package, packageVersion="1.0.0", asset=os.path.basename(os.environ["WHEEL"]))
assert asset["asset"].read() == wheel
assert asset["packageVersion"] == "1.0.0"

ecr = boto3.client("ecr", endpoint_url=url)
ecr.create_repository(repositoryName="matrix/" + name)
data = ecr.get_authorization_token()["authorizationData"][0]
user, _ = base64.b64decode(data["authorizationToken"]).decode().split(":")
assert user == "AWS"
request = urllib.request.Request(url + "/v2/matrix/" + name + "/tags/list", headers={"Authorization": "Basic " + data["authorizationToken"]})
assert urllib.request.urlopen(request).status == 200
END
