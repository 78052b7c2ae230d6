#pragma once
#include "infer/server/call.h"
#include "infer/server/json_fields.h"

namespace herd {

/// What both endpoints have: model, n, sampling, stop, stream. OpenAI's defaults; what temperature 0 leaves without effect is left out, as clients send it all the same.
/// @throws ApiError.
Call common_call(const JsonFields& fields, const Served& served);

/// What a client asks for most: that many tokens, at most those that the context has left. @throws ApiError where n times the prompts is more than `most_texts`.
void limit_texts(const Call& call, std::int64_t most_texts);

inline constexpr std::int64_t kMostLogProbs = 20;

}  // namespace herd
