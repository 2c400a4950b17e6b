package authtoken

import "github.com/aws/aws-sdk-go-v2/aws"

// KeyOf is the name and the encryption key of a cached token, as one string.
func KeyOf(c aws.Credentials, fields []string) string {
	k, err := newKey(c, fields)
	if err != nil {
		panic(err)
	}
	return k.name + string(k.seal[:])
}
