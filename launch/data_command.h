#pragma once

namespace herd {

/// `herd data audit RECIPE [key=value…] [--samples N]`: what the recipe's data become, before anything is trained.
/// `herd data stats|export|dedupe|list|show|formats|templates …`: data_stats_command.h, data_records_command.h, data_list_command.h.
/// `herd data format …`, `herd data import …`, `herd data demo …`: data_format_command.h, data_import_command.h.
/// `herd data generate|kinds|cull …`: data_generate_command.h, data_cull_command.h.
int data_command(int argc, char** argv);

}  // namespace herd
