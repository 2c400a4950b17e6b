package sigv4_test

// vectors cover the kinds of case of AWS's public signing test suite, signed by botocore with vectorSecret at noon for
// us-east-1 and ecr.
var vectors = []vector{
	{
		name: "plain GET", line: "GET /", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "0afd9c31f9333685b63d0e0e597344dc29265e45aa23b7e7a80517c40714584c",
	},
	{
		name: "plain POST", line: "POST /", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "72a2ac37e02e87ecfd9d9ddb558c161458c81e96315ddee5fae26dfa888687f0",
	},
	{
		name: "a port", line: "GET /", host: "registry.example:4283",
		signed:    "host;x-amz-date",
		signature: "639ff77fe459dc1003d5bc731062e8ff1e0f465d02603370a0f1d750413b189a",
	},
	{
		name: "one parameter", line: "GET /?domain=tools", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "a57696f8d944a1c770cd9e133d54465ca9621f2bb3df4c560826d2ef484a20d1",
	},
	{
		name: "a parameter without a value", line: "GET /?preview=", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "5977be4cfe047497e353cb99ad90c06683d270f6a24a60b36341912dd5a8e187",
	},
	{
		name: "parameters to be sorted by name", line: "GET /?domain-owner=000000000001&domain=tools&Domain=x", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "bc68ab00dcc2a83bdf5f0269ae75aa4ad95c95a8b81c956c48ff7db07951d35e",
	},
	{
		name: "parameters to be sorted by value", line: "GET /?tag=b&tag=a&tag=B", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "bb62c4390228a6f0edb2be4db29f465784b3f5f19e9b30b1e04602088508653a",
	},
	{
		name: "a parameter of unreserved characters", line: "GET /?-._~0123456789=azAZ-._~", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "25e95ead517c532a7fe13920f7ed97b2be0e6c1b3223372d696b144efb6bb8af",
	},
	{
		name: "an escaped parameter", line: "GET /?name=a%20b%2Fc%3Dd%26e%2B", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "dfc3a50b4238f45fa2577a8cc08f1f0cbe1129a46a5e2a3ebdccdc28b4f8e730",
	},
	{
		name: "a parameter in UTF-8", line: "GET /?%E6%A0%AA=%C3%A9", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "86738dcab3d43ee607618070e980340c2940159740b604cfeec05c522208c9d9",
	},
	{
		name: "an escaped path", line: "GET /v1/package/a%2Fb", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "2a2d592a06af5c12c90a4f5d614c42b351623a00c7f1cd97c61afa9159c88ef6",
	},
	{
		name: "a path with a space", line: "GET /v1/a%20package/", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "84ca22eaa35227cc43f6acdcc470637db337b7108ef98f996832631ba098bcee",
	},
	{
		name: "a path in UTF-8", line: "GET /v1/%E6%A0%AA", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "992bc83ebd05c610da0914db38a1682ad786330d356ab56faa204fceb9a68c0d",
	},
	{
		name: "a path of unreserved characters", line: "GET /-._~0123456789azAZ", host: "registry.example",
		signed:    "host;x-amz-date",
		signature: "46618f5f6a35fc706d4933a4bffe8b32269099b7120e615c7e3ae503e74d4753",
	},
	{
		name: "a header", line: "POST /", host: "registry.example",
		headers:   []string{"My-Header: value"},
		signed:    "host;my-header;x-amz-date",
		signature: "787ec45691d1faf581573043eaafa5fae3b46b417c989f529a4af23c8c79d955",
	},
	{
		name: "headers to be sorted", line: "POST /", host: "registry.example",
		headers:   []string{"Zebra: z", "Alpha: a", "Alpha-Beta: ab"},
		signed:    "alpha;alpha-beta;host;x-amz-date;zebra",
		signature: "55adb9b7015e64825981c35059dd0bf4cd75aa6c612f2ceefade30ada6f72f73",
	},
	{
		name: "a header with spaces", line: "POST /", host: "registry.example",
		headers:   []string{"My-Header:   a   b  c  ", "Other:   \"x   y\""},
		signed:    "host;my-header;other;x-amz-date",
		signature: "f5792cd623a5767cb0f6342b69e1dbe0d8964902dfb5f5092090099fcc3f4e4c",
	},
	{
		name: "a header twice", line: "POST /", host: "registry.example",
		headers:   []string{"My-Header: second", "My-Header: first"},
		signed:    "host;my-header;x-amz-date",
		signature: "c85bfeea11757adc5845c106502ce82e0d7426e0f24605b94c8b6d9ce53f8cc7",
	},
	{
		name: "an empty header", line: "POST /", host: "registry.example",
		headers:   []string{"My-Header: "},
		signed:    "host;my-header;x-amz-date",
		signature: "726111fa5bdd3b4be0b41374b4bc93487447cb3a3a3f692957735c1d646cbda0",
	},
	{
		name: "a form", line: "POST /", host: "registry.example",
		headers:   []string{"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
		body:      "Action=GetCallerIdentity&Version=2011-06-15",
		signed:    "content-type;host;x-amz-date",
		signature: "2ea1d69089da9b680440cd5b306badea4a8093eba19e3a2354b75a17c07bea31",
	},
	{
		name: "JSON", line: "POST /", host: "registry.example",
		headers:   []string{"Content-Type: application/x-amz-json-1.1", "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"},
		body:      "{}",
		signed:    "content-type;host;x-amz-date;x-amz-target",
		signature: "b46124eb765d5369561b467800e43632117a16bdaae0d1bfe730e900412dcb73",
	},
	{
		name: "a session token", line: "POST /", host: "registry.example",
		headers:   []string{"X-Amz-Security-Token: ghst_AAAA"},
		signed:    "host;x-amz-date;x-amz-security-token",
		signature: "5255350bb7c1c72d417f52b9ab1877e262a492d9c8da5e7b20dd103f04f27c2d",
	},
	{
		name: "a named body", line: "PUT /v1/package/version/publish?domain=tools", host: "registry.example",
		headers:   []string{"X-Amz-Content-Sha256: 0fa86ee885d68c53a84573ebdeba1ca1618ce85362eb3ebeeb21cb53b9ac7190"},
		body:      "the bytes of an asset",
		signed:    "host;x-amz-content-sha256;x-amz-date",
		signature: "b02fd166637d95fb20be71c58c52a3b60370644292732cae4ae8275d1d19d0da",
	},
}
