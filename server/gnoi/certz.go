package gnoiserver

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/openconfig/gnsi/certz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
)

// rotationPatience is how long certificates are tried: a client that was locked out by them can't finalize, and need not end its stream.
const rotationPatience = 10 * time.Minute

// profile is the one set of certificates there is; gNSI has the name.
const profile = "system_default_profile"

// certzService is gNSI's Certz, over the certificates of the management listener.
type certzService struct {
	certz.UnimplementedCertzServer
	opt Options
}

func checkProfile(id string) error {
	switch id {
	case profile:
		return nil
	case "":
		return invalid("ssl_profile_id", "is missing")
	}
	return status.Errorf(codes.NotFound, "ssl_profile_id: there is no %s, but %s", id, profile)
}

func (c *certzService) GetProfileList(context.Context, *certz.GetProfileListRequest) (*certz.GetProfileListResponse, error) {
	return &certz.GetProfileListResponse{SslProfileIds: []string{profile}}, nil
}

func (c *certzService) AddProfile(_ context.Context, req *certz.AddProfileRequest) (*certz.AddProfileResponse, error) {
	if req.GetSslProfileId() == profile {
		return nil, status.Errorf(codes.AlreadyExists, "ssl_profile_id: %s is there", profile)
	}
	return nil, status.Errorf(codes.Unimplemented, "ssl_profile_id: the appliance has one listener and one profile, %s", profile)
}

func (c *certzService) DeleteProfile(_ context.Context, req *certz.DeleteProfileRequest) (*certz.DeleteProfileResponse, error) {
	if err := checkProfile(req.GetSslProfileId()); err != nil {
		return nil, err
	}
	return nil, status.Errorf(codes.FailedPrecondition, "ssl_profile_id: %s is in use by this very server", profile)
}

func (c *certzService) CanGenerateCSR(_ context.Context, req *certz.CanGenerateCSRRequest) (*certz.CanGenerateCSRResponse, error) {
	_, err := csrTemplate(req.GetParams())
	return &certz.CanGenerateCSRResponse{CanGenerate: err == nil}, nil
}

// Rotate replaces certificates: what is uploaded is used for new connections at once, so that the client can try it, and kept with the
// finalize request. If the stream ends before, all is as it was.
func (c *certzService) Rotate(stream certz.Certz_RotateServer) error {
	r := &rotation{opt: c.opt}
	defer r.end()
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Aborted, "the stream ended before finalize_rotation: all is as it was")
		}
		if err != nil {
			return err
		}
		if err := checkProfile(req.GetSslProfileId()); err != nil {
			return err
		}
		var resp *certz.RotateCertificateResponse
		switch {
		case req.GetGenerateCsr() != nil:
			resp, err = r.generate(req.GetGenerateCsr())
		case req.GetCertificates() != nil:
			resp, err = r.upload(req.GetCertificates())
		case req.GetFinalizeRotation() != nil:
			if r.trial == nil {
				return status.Error(codes.FailedPrecondition, "finalize_rotation: nothing was uploaded")
			}
			err := r.trial.Commit()
			switch {
			case errors.Is(err, auth.ErrTrialOver):
				return status.Errorf(codes.Aborted, "finalize_rotation: came later than %s after the upload: all is as it was", rotationPatience)
			case err != nil:
				return status.Error(codes.Internal, err.Error())
			}
			c.opt.Logger.Info("certificates rotated", "audit", true)
			return nil
		default:
			return invalid("rotate_request", "is missing")
		}
		if err != nil {
			return err
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// rotation is one stream of Rotate.
type rotation struct {
	opt   Options
	csr   *generated
	trial *auth.Trial
	limit *time.Timer
}

func (r *rotation) end() {
	if r.trial != nil {
		r.limit.Stop()
		r.trial.Rollback()
	}
}

func (r *rotation) generate(req *certz.GenerateCSRRequest) (*certz.RotateCertificateResponse, error) {
	if len(req.GetIntegrities()) > 0 {
		return nil, invalid("generate_csr.integrities", "there is no root of trust to measure")
	}
	var err error
	if r.csr, err = generate(req.GetParams()); err != nil {
		return nil, err
	}
	return &certz.RotateCertificateResponse{RotateResponse: &certz.RotateCertificateResponse_GeneratedCsr{
		GeneratedCsr: &certz.GenerateCSRResponse{CertificateSigningRequest: &certz.CertificateSigningRequest{
			Type: certz.CertificateType_CERTIFICATE_TYPE_X509, Encoding: certz.CertificateEncoding_CERTIFICATE_ENCODING_PEM,
			CertificateSigningRequest: r.csr.pem,
		}},
	}}, nil
}

func (r *rotation) upload(req *certz.UploadRequest) (*certz.RotateCertificateResponse, error) {
	if r.trial != nil {
		return nil, status.Error(codes.FailedPrecondition, "certificates: were uploaded already: finalize, or begin again")
	}
	b, err := bundle(req.GetEntities(), r.csr)
	if err != nil {
		return nil, err
	}
	t, err := r.opt.PKI.Try(b)
	switch {
	case errors.Is(err, auth.ErrTrial):
		return nil, status.Error(codes.Aborted, err.Error())
	case err != nil:
		return nil, invalid("certificates", "%v", err)
	}
	r.trial, r.limit = t, time.AfterFunc(rotationPatience, t.Rollback)
	return &certz.RotateCertificateResponse{RotateResponse: &certz.RotateCertificateResponse_Certificates{Certificates: &certz.UploadResponse{}}}, nil
}
