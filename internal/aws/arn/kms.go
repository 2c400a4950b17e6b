package arn

import (
	"crypto/sha256"
	"fmt"
)

// DefaultKMSKey returns the ARN of the key with which AWS encrypts what a service
// stores unless another key is named: one key for each service, region and account
// ("AWS managed keys" in the KMS Developer Guide). There is no KMS here. Answers name
// the key because clients expect one, and it is the same whenever it is asked for.
func DefaultKMSKey(service, region, account string) string {
	id := sha256.Sum256([]byte("AWS managed key\n" + service + "\n" + region + "\n" + account))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8 (RFC 9562)
	return New("kms", region, account, fmt.Sprintf("key/%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])).String()
}
