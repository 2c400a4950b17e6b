package codeartifactapi

import (
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
)

// pageSize is the length of a page if the request does not say it.
const pageSize = 100

func limit(maxResults *int32) int {
	if maxResults == nil {
		return pageSize
	}
	return int(*maxResults) // 1 to 1000, as the model bounds it
}

// cursor reads the n texts of a nextToken, which are empty if there is none.
func cursor(list pagetoken.Scope, token *string, n int) ([]string, error) {
	c, err := list.Cursor(token, n)
	if err != nil {
		return nil, invalidToken()
	}
	return c, nil
}

func invalidToken() error {
	return fault.New(fault.Invalid, "Validation", "nextToken is not one that this operation returned for the same parameters.")
}
