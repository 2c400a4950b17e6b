package app_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// A wanted is what an input's members are set to, by their names.
type wanted map[string]any

// operations returns the names of the client's operations, but for those named.
func operations(client any, but ...string) []string {
	var names []string
	t := reflect.TypeOf(client)
	for i := range t.NumMethod() {
		m := t.Method(i)
		if m.Type.NumIn() == 4 && m.Type.NumOut() == 2 && strings.HasSuffix(m.Type.In(2).String(), "Input") && !contains(but, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// invoke calls an operation with what is wanted of its input, and returns the
// code and the message of its error, both empty if it succeeds.
func invoke(ctx context.Context, client any, operation string, w wanted) (code, message string) {
	call := reflect.ValueOf(client).MethodByName(operation)
	in := reflect.New(call.Type().In(1).Elem())
	fill(in.Elem(), w)
	out := call.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	err, _ := out[1].Interface().(error)
	if err == nil {
		return "", ""
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return strings.TrimSuffix(api.ErrorCode(), "Exception"), api.ErrorMessage()
	}
	return "client", err.Error()
}

// fill sets the members of a structure: those that are wanted, and every
// structure and list of structures. A wanted "TYPE.MEMBER" goes before a "MEMBER".
func fill(v reflect.Value, w wanted) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if !f.CanSet() {
			continue
		}
		x, ok := w[v.Type().Name()+"."+name]
		if !ok {
			x, ok = w[name]
		}
		if ok {
			set(f, reflect.ValueOf(x))
			continue
		}
		switch {
		case w[name+"/"] != nil: // stays unset
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && strings.Contains(f.Type().Elem().PkgPath(), "/types"):
			f.Set(reflect.New(f.Type().Elem()))
			fill(f.Elem(), w)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			fill(f.Index(0), w)
		}
	}
}

// set sets a member that is optional or a list, too.
func set(f, x reflect.Value) {
	switch {
	case x.Type().ConvertibleTo(f.Type()) && x.Kind() == f.Kind():
		f.Set(x.Convert(f.Type()))
	case f.Kind() == reflect.Pointer && x.Type().ConvertibleTo(f.Type().Elem()) && x.Kind() == f.Type().Elem().Kind():
		f.Set(reflect.New(f.Type().Elem()))
		f.Elem().Set(x.Convert(f.Type().Elem()))
	case f.Kind() == reflect.Slice:
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		set(f.Index(0), x)
	}
}

var anyDigest = "sha256:" + strings.Repeat("a", 64)

func imageInput(account, repository string) wanted {
	return wanted{
		"RegistryId": account, "RepositoryName": repository, "ResourceArn": "arn:aws:ecr:us-east-1:" + account + ":repository/" + repository,
		"ImageTag": "latest", "ImageManifest": "{}", "LayerDigest": anyDigest, "LayerDigests": anyDigest, "UploadId": "00000000-0000-0000-0000-000000000000",
		"PartFirstByte": int64(0), "PartLastByte": int64(0), "LayerPartBlob": []byte("x"), "PolicyText": *policyOf(`{"Effect":"Allow","Principal":"*","Action":"ecr:*"}`),
		"ImageTagMutability": "MUTABLE", "Key": "k", "Value": "v", "TagKeys": "k",
		"Filter": "app", "FilterType": "WILDCARD", "RepositoryFilter.FilterType": "PREFIX_MATCH", "SigningRepositoryFilter.FilterType": "WILDCARD_MATCH", "SigningProfileArn": "arn:aws:signer:us-east-1:" + account + ":/signing-profiles/release", "EncryptionType": "AES256", "ImageTagMutabilityExclusionFilters/": true,
		"RepositoryNames": repository, "PrincipalArn": "arn:aws:iam::" + account + ":role/scanner", "Name": "BLOB_MOUNTING", "ImageDigest": anyDigest,
		"LifecyclePolicyText": `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`,
		"ScanFrequency":       "SCAN_ON_PUSH", "Region": "us-west-2", "TargetStorageClass": "ARCHIVE",
		"EcrRepositoryPrefix": "cache", "UpstreamRegistryUrl": "registry.example", "Prefix": repository, "AppliedFor": "CREATE_ON_PUSH", "ReplicationBackfillId": "00000000-0000-0000-0000-000000000000",
	}
}

func packageInput(account, domain string) wanted {
	return wanted{
		"Domain": domain, "DomainOwner": account, "Repository": "lib", "Format": "npm", "Package": "left", "PackageVersion": "1.0.0", "Versions": "1.0.0",
		"Asset": "package.tgz", "TargetStatus": "Archived", "Publish": "ALLOW", "Upstream": "ALLOW", "PackageGroup": "/npm/*", "OriginRestrictionType": "EXTERNAL_UPSTREAM", "Key": "k", "Value": "v", "TagKeys": "k",
		"ResourceArn":      "arn:aws:codeartifact:us-east-1:" + account + ":repository/" + domain + "/lib",
		"PolicyDocument":   *policyOf(`{"Effect":"Allow","Principal":"*","Action":"codeartifact:*","Resource":"*"}`),
		"SourceRepository": "lib", "DestinationRepository": "lib2", "ExternalConnection": "public:none", "AssetName": "a", "AssetSHA256": hash(""), "Upstreams/": true,
	}
}

// Whoever has no permission gets AccessDenied from every operation on every
// resource, and learns not even whether there is one: neither a user of the
// account without policies, nor the admin of another account.
func TestAttack_EveryOperationIsDenied(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	nobody, foreigner := g.user(victim, "nobody"), g.admin(stranger)

	// The SDK's own validation would hide which operations exist.
	unchecked := func(stack *middleware.Stack) error {
		_, _ = stack.Initialize.Remove("OperationInputValidation") // some have none
		return nil
	}
	nobody.APIOptions = append(nobody.APIOptions, unchecked)
	foreigner.APIOptions = append(foreigner.APIOptions, unchecked)

	denied := 0
	for _, c := range []struct {
		who     string
		config  aws.Config
		foreign bool
	}{{"a user without policies", nobody, false}, {"another account's admin", foreigner, true}} {
		images, packages := ecr.NewFromConfig(c.config), codeartifact.NewFromConfig(c.config)
		for _, operation := range operations(images) {
			denied += deniedAlike(t, c.who, images, operation, c.foreign, imageInput(victim, "app"), imageInput(victim, "zzz"), "app", "zzz")
		}
		for _, operation := range operations(packages) {
			denied += deniedAlike(t, c.who, packages, operation, c.foreign, packageInput(victim, "first"), packageInput(victim, "zzzzz"), "first", "zzzzz")
		}
	}
	people := iam.NewFromConfig(nobody)
	for _, operation := range operations(people) {
		denied += deniedAlike(t, "a user without policies", people, operation, false, peopleInput("nobody"), peopleInput("zzzzzz"), "nobody", "zzzzzz")
	}
	if denied < 150 {
		t.Errorf("only %d operations were asked for", denied)
	}
}

func peopleInput(name string) wanted {
	return wanted{
		"UserName": name, "RoleName": name, "GroupName": name, "PolicyName": name, "PolicyArn": "arn:aws:iam::" + victim + ":policy/" + name, "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
		"PolicyDocument": *policyOf(allow("*", "*")), "AssumeRolePolicyDocument": *policyOf(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`),
		"AccessKeyId": "AKIAAAAAAAAAAAAAAAAA", "Status": "Inactive", "VersionId": "v1", "Key": "k", "Value": "v", "TagKeys": "k", "AccountAlias": "alias", "PolicyDocuments": "{}",
		"Arn": "arn:aws:iam::" + victim + ":user/" + name, "JobId": "00000000-0000-0000-0000-000000000000", "ServiceNamespace": "ecr",
		"OpenIDConnectProviderArn": "arn:aws:iam::" + victim + ":oidc-provider/issuer.example/" + name, "Url": "https://issuer.example/" + name, "ClientID": "c", "ClientIDList": "c", "ThumbprintList": strings.Repeat("a", 40),
		"AWSServiceName": "replication.ecr.amazonaws.com", "DeletionTaskId": "task/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication/" + name,
		"Description": "d", "ActionNames": "a:b", "PolicySourceArn": "arn:aws:iam::" + victim + ":user/" + name, "PolicyInputList": *policyOf(allow("*", "*")),
	}
}

// withoutCipher replaces an encoded message by its length: clients cannot read
// it, and no two are the same.
func withoutCipher(message string) string {
	readable, encoded, ok := strings.Cut(message, "Encoded authorization failure message: ")
	if !ok {
		return message
	}
	return fmt.Sprintf("%s(%d characters)", readable, len(encoded))
}

// scoped reports whether an operation's input names the account that it is
// about: for another account's admin the others are about its own account.
func scoped(client any, operation string) bool {
	in := reflect.ValueOf(client).MethodByName(operation).Type().In(1).Elem()
	for _, name := range []string{"RegistryId", "DomainOwner", "ResourceArn"} {
		if _, ok := in.FieldByName(name); ok {
			return true
		}
	}
	return false
}

// deniedAlike checks that an operation is denied in the same words for what is
// there and what is not. It returns how many operations it checked: one, or none
// if the operation does not exist or is not about the resource.
func deniedAlike(t *testing.T, who string, client any, operation string, foreign bool, present, absent wanted, is, isNot string) int {
	t.Helper()
	if foreign && !scoped(client, operation) {
		return 0
	}
	code, message := invoke(t.Context(), client, operation, present)
	if code == "NotImplemented" {
		return 0
	}
	if code != "AccessDenied" {
		t.Errorf("%s, %s of what is there: %s %s", who, operation, code, message)
	}
	absentCode, absentMessage := invoke(t.Context(), client, operation, absent)
	message, absentMessage = withoutCipher(message), withoutCipher(absentMessage)
	if absentCode != code || strings.ReplaceAll(absentMessage, isNot, is) != message {
		t.Errorf("%s, %s of what is there: %s %s\nand of what is not: %s %s", who, operation, code, message, absentCode, absentMessage)
	}
	return 1
}
