#include "launch/commands.h"

int main(int argc, char** argv) { return herd::run_herd(argc, argv); }
