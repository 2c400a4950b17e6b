package authz

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// conditionKeys answers for the condition keys of one request, when a policy
// asks: most requests are decided without any (IAM User Guide, "AWS global
// condition context keys"; Service Authorization Reference for ecr, iam and sts).
type conditionKeys struct {
	caller *authn.Caller
	req    *Request
	value  [1]string // what Lookup returned last
}

// The families of keys that end in the key of a tag.
const (
	principalTag   = "aws:principaltag/"
	requestTag     = "aws:requesttag/"
	resourceTag    = "aws:resourcetag/"
	ecrResourceTag = "ecr:resourcetag/"
	iamResourceTag = "iam:resourcetag/"
	secretTag      = "secretsmanager:resourcetag/"
)

// Lookup implements [policy.Context].
func (k *conditionKeys) Lookup(key string) ([]string, bool) {
	if family, tag, ok := strings.Cut(key, "/"); ok {
		switch family + "/" {
		case principalTag:
			return k.tag(k.caller.Tags, tag)
		case requestTag:
			return k.tag(k.req.RequestTags, tag)
		case resourceTag, ecrResourceTag, iamResourceTag, secretTag:
			return k.tag(k.req.ResourceTags, tag)
		}
	}
	if key == "aws:tagkeys" && len(k.req.RequestTags) > 0 {
		return k.tagKeys(), true
	}
	if value := k.global(key); value != "" {
		k.value[0] = value
		return k.value[:], true
	}
	// The keys of the issuer of a web identity.
	if f := k.caller.Federation; f != nil {
		if values, ok := f.Keys[key]; ok {
			return values, true
		}
	}
	// The keys of the request's own service.
	for name, values := range k.req.Keys {
		if strings.EqualFold(name, key) {
			return values, true
		}
	}
	return nil, false
}

// global returns the one value of a key that every service has, and nothing for
// a key that the request lacks.
func (k *conditionKeys) global(key string) string {
	if value := k.ofPrincipal(key); value != "" {
		return value
	}
	c := k.caller
	switch key {
	case "aws:sourceip":
		if c.SourceIP.IsValid() {
			return c.SourceIP.Unmap().WithZone("").String()
		}
	case "aws:securetransport":
		return strconv.FormatBool(c.Secure)
	case "aws:useragent":
		return c.UserAgent
	case "aws:currenttime":
		return timestamp(c.Time)
	case "aws:epochtime":
		return strconv.FormatInt(c.Time.Unix(), 10)
	case "aws:requestedregion":
		return c.Region
	}
	return ""
}

// ofPrincipal returns the one value of a key that follows from who asks and from
// whose the resource is, whatever the circumstances.
func (k *conditionKeys) ofPrincipal(key string) string {
	c := k.caller
	switch key {
	case "aws:principalarn":
		return c.PrincipalARN
	case "aws:principalaccount":
		return c.Account
	case "aws:principaltype":
		return string(c.Type)
	case "aws:userid":
		return c.UserID
	case "aws:username":
		return c.Name
	case "aws:sourceidentity":
		return c.SourceIdentity
	case "aws:federatedprovider":
		if c.Federation != nil {
			return c.Federation.Provider
		}
	case "aws:tokenissuetime":
		if c.Temporary() {
			return timestamp(c.IssuedAt)
		}
	case "aws:multifactorauthpresent":
		// There is no MFA, and AWS has this key for temporary credentials only.
		if c.Temporary() {
			return "false"
		}
	case "aws:principalisawsservice", "aws:viaawsservice":
		return "false"
	case "aws:resourceaccount":
		if k.req.Account == "" {
			return c.Account
		}
		return k.req.Account
	}
	return ""
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// tag returns the value of a tag. The case of its key does not matter in a
// policy; if tags differ in nothing else, all their values are the key's, and
// so no condition on it lets an Allow through that only one of them would.
func (k *conditionKeys) tag(tags map[string]string, key string) ([]string, bool) {
	var found []string
	for name, value := range tags {
		if !strings.EqualFold(name, key) {
			continue
		}
		if found == nil {
			k.value[0] = value
			found = k.value[:]
		} else {
			found = append(found[:len(found):len(found)], value)
		}
	}
	return found, found != nil
}

func (k *conditionKeys) tagKeys() []string {
	keys := make([]string, 0, len(k.req.RequestTags))
	for name := range k.req.RequestTags {
		keys = append(keys, name)
	}
	return keys
}
