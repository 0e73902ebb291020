#include "gateway/database_approvals.hpp"

#include "gateway/database_text.hpp"

namespace holdfast::gateway {
namespace {

// Members see what they asked for themselves; the rest is for admins.
constexpr Statement kListApprovals{
    "holdfast_list_approvals",
    "SELECT jsonb_build_object('approvalId', a.approval_id, 'status', a.status,"
    " 'estimatedCostUSD', a.estimated_cost, 'thresholdUSD', a.threshold,"
    " 'provider', a.provider, 'model', a.model, 'promptTokens', a.prompt_tokens,"
    " 'completionTokens', a.completion_tokens, 'userId', a.user_id, 'apiKeyId', a.api_key_id,"
    " 'workflowId', a.workflow_id, 'route', a.route, 'createdAt', a.created_at,"
    " 'expiresAt', a.expires_at, 'decidedAt', a.decided_at, 'decidedBy', a.decided_by,"
    " 'reason', a.reason)"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.list_approvals(p_organization_id => $1::uuid, p_status => $3::text,"
    " p_approval_id => $4::uuid, p_limit => $5::integer) a"
    " WHERE k.role IN ('admin', 'owner') OR a.api_key_id = k.api_key_id OR a.user_id = k.user_id",
    true};

constexpr Statement kApproveCall{
    "holdfast_approve_call",
    "SELECT d.status"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.approve_call(p_approval_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_actor => coalesce(k.user_id, k.api_key_id::text), p_reason => $4::text,"
    " p_role => k.role) d",
    false};

constexpr Statement kRefuseCall{
    "holdfast_refuse_call",
    "SELECT d.status"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.refuse_call(p_approval_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_actor => coalesce(k.user_id, k.api_key_id::text), p_reason => $4::text,"
    " p_role => k.role) d",
    false};

} // namespace

void ApprovalDatabase::check() {
  pool_.prepare_all({&kListApprovals, &kApproveCall, &kRefuseCall});
}

std::vector<std::string> ApprovalDatabase::list(const Caller& caller,
                                                const std::optional<std::string>& status,
                                                const std::optional<std::string>& approval_id,
                                                int limit) {
  const Rows rows = pool_.run(kListApprovals, {caller.organization_id, bytea_text(caller.key_hash),
                                               status, approval_id, std::to_string(limit)});
  std::vector<std::string> approvals;
  for (int row = 0; row < rows.size(); ++row)
    approvals.push_back(rows.text(row, 0));
  return approvals;
}

void ApprovalDatabase::decide(const Caller& caller, const std::string& approval_id, bool approved,
                              const std::optional<std::string>& reason) {
  pool_.run(approved ? kApproveCall : kRefuseCall,
            {caller.organization_id, bytea_text(caller.key_hash), approval_id, reason});
}

} // namespace holdfast::gateway
