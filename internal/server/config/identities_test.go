package config_test

import (
	"strings"
	"testing"
	"time"
)

const identities = `
iam:
  users:
    alice:
      tags: {team: web, room: "12"}
      groups: [developers]
      policies: [AmazonEC2ContainerRegistryReadOnly]
      inline:
        publish:
          Version: 2012-10-17
          Statement:
            - Effect: Allow
              Action: codeartifact:*
              Resource: "*"
              Condition:
                Null: {"aws:TokenIssueTime": true}
                StringEquals:
                  aws:PrincipalAccount: "000000000001"
                NumericLessThan: {"aws:EpochTime": 9007199254740993}
      access_keys: [ci]
    bob:
  roles:
    deploy:
      max_session: 4h
      trust: |
        {
          "Version": "2012-10-17",
          "Statement": []
        }
  oidc_providers:
    https://gitlab.example:8443/ci:
      client_ids: [sts.amazonaws.com]
  accounts:
    "000000000002":
      groups: {ops: {adopt: true, inline: {p: {"Version": "2012-10-17", "Statement": {Sid: only}}}}}
accounts: ["000000000002"]
`

func TestRead_Identities(t *testing.T) {
	c, err := read(t, identities)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	alice := c.IAM.Users["alice"]
	if alice.Tags["room"] != "12" || alice.Groups[0] != "developers" || alice.AccessKeys[0] != "ci" || len(c.IAM.Users) != 2 {
		t.Errorf("users = %+v", c.IAM.Users)
	}
	// Large numbers keep their digits, Null its name, and elements their order.
	const want = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codeartifact:*","Resource":"*","Condition":` +
		`{"Null":{"aws:TokenIssueTime":"true"},"StringEquals":{"aws:PrincipalAccount":"000000000001"},"NumericLessThan":{"aws:EpochTime":"9007199254740993"}}}]}`
	if d := alice.Inline["publish"]; d.JSON != want || d.Line != 10 {
		t.Errorf("line %d: %s", d.Line, d.JSON)
	}
	if r := c.IAM.Roles["deploy"]; time.Duration(r.MaxSession) != 4*time.Hour || r.Trust.JSON != `{"Version":"2012-10-17","Statement":[]}` {
		t.Errorf("role = %+v", r)
	}
	if o := c.IAM.OIDCProviders["https://gitlab.example:8443/ci"]; len(o.ClientIDs) != 1 {
		t.Errorf("providers = %+v", c.IAM.OIDCProviders)
	}
	if g := c.IAM.Accounts["000000000002"].Groups["ops"]; !g.Adopt || g.Inline["p"].JSON != `{"Version":"2012-10-17","Statement":{"Sid":"only"}}` {
		t.Errorf("group = %+v", g)
	}
}

func TestRead_IdentitiesStrict(t *testing.T) {
	for text, want := range map[string]string{
		"iam:\n  users:\n    alice:\n      grups: [x]\n":                                  "grups",
		"iam:\n  user: {}\n":                                                              "user",
		"iam:\n  users:\n    alice: {}\n    alice: {}\n":                                  "alice",
		"iam:\n  roles:\n    r:\n      max_session: long\n":                               `line 4: "long" is not a duration`,
		"iam:\n  groups:\n    g:\n      inline:\n        p: {Statement: &a {}}\n":         "anchors",
		"iam:\n  groups:\n    g:\n      inline:\n        p: {Statement: !!str x}\n":       "tags",
		"iam:\n  groups:\n    g:\n      inline:\n        p: {<<: {a: b}, Statement: x}\n": "merge",
		"iam: {roles: {r: {max_session: 500ms}}}":                                         `line 1: "500ms" is not a duration`,
		"guardrail: {Effect: Allow, Effect: Deny}":                                        `"Effect" already defined`,
		"iam: {users: {alice: {tags: {room: 012}}}}":                                      "line 1: put 012 in quotes",
		"account: 000000000001":                                                           "put 000000000001 in quotes",
		"iam:\n  accounts:\n    000000000001: {}":                                         "line 3: put 000000000001 in quotes",
		"iam: {users: {alice: {tags: {v: 1.50}}}}":                                        "put 1.50 in quotes",
		"guardrail: {Condition: {StringEquals: {aws:x: y}}}":                              "begins with aws: in quotes",
		"guardrail: {Statement: {Action: [ecr:GetX]}}":                                    "begins with ecr: in quotes",
		"guardrail: {Statement: {Action: ecr:GetX, Sid:x: y}}":                            "begins with Sid: in quotes",
	} {
		_, err := read(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v", text, err)
		}
	}
}

const denyAll = `{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}`

func TestRead_Guardrail(t *testing.T) {
	for text, want := range map[string][2]string{
		"{}":                           {},
		"guardrail: " + denyAll:        {"Deny", "Deny"},
		"guardrail: '" + denyAll + "'": {"Deny", "Deny"},
		"accounts: [\"000000000002\"]\nguardrail:\n  \"000000000002\": " + denyAll: {"", "Deny"},
	} {
		c, err := read(t, text)
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for i, account := range []string{"000000000001", "000000000002"} {
			if d, _ := c.Guardrail.Of(account); (d.JSON == "") != (want[i] == "") || !strings.Contains(d.JSON, want[i]) {
				t.Errorf("%s: account %s has %+v", text, account, d)
			}
		}
	}
}

func TestValidate_NamesAccountsAndLines(t *testing.T) {
	for text, want := range map[string]string{
		"iam: {accounts: {\"000000000001\": {}}}":            "iam.accounts (line 1): 000000000001 is the first account",
		"iam: {accounts: {\"000000000009\": {}}}":            `iam.accounts (line 1): "000000000009" is not one of`,
		"region: us-east-1\nguardrail: {}":                   "guardrail (line 2): ",
		"guardrail:\n  Version: 2012-10-17\n  Statement: {}": "guardrail (line 2): ",
		"guardrail: text":                                    "guardrail (line 1): ",
		"guardrail:\n  000000000009: " + denyAll:             `guardrail (line 1): "000000000009" is not one of`,
		"guardrail:\n  \"000000000001\": {Statement: 1}":     `guardrail.000000000001 (line 2): `,
	} {
		c, err := read(t, text)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: err = %v", text, err)
		}
	}
}
