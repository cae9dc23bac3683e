// Answers Envoy's ext_authz by Envoy's own Go types and gRPC's own server, so that what the gateway writes is read by others. It lets pass what
// comes for the tier gold from the team buyers, with a body of less than ten bytes.
package main

import (
	"context"
	"log"
	"net"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

type authorizer struct {
	auth.UnimplementedAuthorizationServer
}

func (authorizer) Check(_ context.Context, asked *auth.CheckRequest) (*auth.CheckResponse, error) {
	attributes := asked.GetAttributes()
	request := attributes.GetRequest().GetHttp()
	passes := attributes.GetContextExtensions()["tier"] == "gold" &&
		request.GetHeaders()["x-team"] == "buyers" && len(request.GetRawBody()) < 10
	if !passes {
		return &auth.CheckResponse{
			Status: &status.Status{Code: int32(codes.PermissionDenied), Message: "only buyers of the tier gold"},
			HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
				Status: &kind.HttpStatus{Code: kind.StatusCode_Forbidden}, Body: "not you",
			}},
		}, nil
	}
	said := request.GetMethod() + " " + request.GetPath() + " from " + attributes.GetSource().GetAddress().GetSocketAddress().GetAddress()
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{{Header: &core.HeaderValue{Key: "x-decided", Value: said}}},
		}},
	}, nil
}

func main() {
	listener, err := net.Listen("tcp", ":9191")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, authorizer{})
	log.Fatal(server.Serve(listener))
}
