#pragma once
#include <string_view>

#include "data/readers/format.h"

// The functions behind record_formats(), by the room they stand in.
namespace herd {

// instructions.cpp: one question and one answer, perhaps with turns before them or inside of them
void read_alpaca(const Json& object, Parsed& out);
void read_airoboros(const Json& object, Parsed& out);
void read_dolly(const Json& object, Parsed& out);
void read_chatglm(const Json& object, Parsed& out);

// evaluation.cpp: questions to put to a model, with the answer that is wanted or without one
void read_belle_eval(const Json& object, Parsed& out);
void read_self_instruct(const Json& object, Parsed& out);
void read_mt_bench(const Json& object, Parsed& out);
void read_mmcu(const Json& object, Parsed& out);
void read_prompt(const Json& object, Parsed& out);

// messages.cpp
void read_sharegpt(const Json& object, Parsed& out);
void read_openai(const Json& object, Parsed& out);

// moss.cpp
void read_moss(const Json& object, Parsed& out);

// preference.cpp
void read_preference(const Json& object, Parsed& out);

// lines.cpp
void read_text_object(const Json& object, Parsed& out);
void read_text_line(std::string_view line, Parsed& out);
void read_query_answer(std::string_view line, Parsed& out);
void read_cot(std::string_view line, Parsed& out);

}  // namespace herd
