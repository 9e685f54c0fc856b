// The part of PJRT's C interface that training needs, declared by hand: argument structs and slots of the table of
// functions, as plugins of PJRT 0.81 to 0.116 lay them out. `HSAEDevices` alone uses it.
//
// Every argument struct begins with its size and ends in zeros. A plugin refuses a struct that is shorter than its own
// and takes a longer one, so with zeros for the fields of newer versions one declaration serves all versions.
#ifndef CPJRT_H
#define CPJRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PJRT_Error PJRT_Error;
typedef struct PJRT_Event PJRT_Event;
typedef struct PJRT_Client PJRT_Client;
typedef struct PJRT_Device PJRT_Device;
typedef struct PJRT_Memory PJRT_Memory;
typedef struct PJRT_Buffer PJRT_Buffer;
typedef struct PJRT_LoadedExecutable PJRT_LoadedExecutable;

#define CPJRT_HEAD \
  size_t struct_size; \
  void *_Nullable extension_start
#define CPJRT_TAIL uint64_t newer_fields[16]

// Most functions return an error, or null. Two return nothing: what they leave in the register is no error.
typedef PJRT_Error *_Nullable (*CPJRT_Function)(void *_Nonnull arguments);
typedef void (*CPJRT_Void_Function)(void *_Nonnull arguments);

typedef struct {
  CPJRT_HEAD;
  PJRT_Error *_Nullable error;
  CPJRT_TAIL;
} PJRT_Error_Destroy_Args;

typedef struct {
  CPJRT_HEAD;
  const PJRT_Error *_Nullable error;
  const char *_Nullable message;
  size_t message_size;
  CPJRT_TAIL;
} PJRT_Error_Message_Args;

typedef struct {
  CPJRT_HEAD;
  const PJRT_Error *_Nullable error;
  int code;
  CPJRT_TAIL;
} PJRT_Error_GetCode_Args;

typedef struct {
  CPJRT_HEAD;
  CPJRT_TAIL;
} PJRT_Plugin_Initialize_Args;

// Of Event_Destroy and Event_Await.
typedef struct {
  CPJRT_HEAD;
  PJRT_Event *_Nullable event;
  CPJRT_TAIL;
} PJRT_Event_Args;

typedef struct {
  CPJRT_HEAD;
  const void *_Nullable create_options;
  size_t num_options;
  void *_Nullable kv_get_callback;
  void *_Nullable kv_get_user_arg;
  void *_Nullable kv_put_callback;
  void *_Nullable kv_put_user_arg;
  PJRT_Client *_Nullable client;
  CPJRT_TAIL;
} PJRT_Client_Create_Args;

typedef struct {
  CPJRT_HEAD;
  PJRT_Client *_Nullable client;
  const char *_Nullable platform_name;
  size_t platform_name_size;
  CPJRT_TAIL;
} PJRT_Client_PlatformName_Args;

typedef struct {
  CPJRT_HEAD;
  PJRT_Client *_Nullable client;
  PJRT_Device *_Nullable const *_Nullable devices;
  size_t num_devices;
  CPJRT_TAIL;
} PJRT_Client_AddressableDevices_Args;

typedef struct {
  CPJRT_HEAD;
  const char *_Nullable code;
  size_t code_size;
  const char *_Nullable format;
  size_t format_size;
  CPJRT_TAIL;
} PJRT_Program;

typedef struct {
  CPJRT_HEAD;
  PJRT_Client *_Nullable client;
  const PJRT_Program *_Nullable program;
  const char *_Nullable compile_options;
  size_t compile_options_size;
  PJRT_LoadedExecutable *_Nullable executable;
  CPJRT_TAIL;
} PJRT_Client_Compile_Args;

typedef struct {
  CPJRT_HEAD;
  PJRT_Client *_Nullable client;
  const void *_Nullable data;
  int type;
  const int64_t *_Nullable dims;
  size_t num_dims;
  const int64_t *_Nullable byte_strides;
  size_t num_byte_strides;
  int host_buffer_semantics;
  PJRT_Device *_Nullable device;
  PJRT_Memory *_Nullable memory;
  void *_Nullable device_layout;
  PJRT_Event *_Nullable done_with_host_buffer;
  PJRT_Buffer *_Nullable buffer;
  CPJRT_TAIL;
} PJRT_Client_BufferFromHostBuffer_Args;

typedef struct {
  CPJRT_HEAD;
  void *_Nullable send_callbacks;
  void *_Nullable recv_callbacks;
  size_t num_send_ops;
  size_t num_recv_ops;
  int launch_id;
  const int64_t *_Nullable non_donatable_input_indices;
  size_t num_non_donatable_input_indices;
  void *_Nullable context;
  const char *_Nullable call_location;
  size_t num_tasks;
  int *_Nullable task_ids;
  int64_t *_Nullable incarnation_ids;
  CPJRT_TAIL;
} PJRT_ExecuteOptions;

typedef struct {
  CPJRT_HEAD;
  PJRT_LoadedExecutable *_Nullable executable;
  PJRT_ExecuteOptions *_Nullable options;
  PJRT_Buffer *_Nullable const *_Nullable const *_Nullable argument_lists;
  size_t num_devices;
  size_t num_args;
  PJRT_Buffer *_Nullable *_Nullable const *_Nullable output_lists;
  PJRT_Event *_Nullable *_Nullable device_complete_events;
  PJRT_Device *_Nullable execute_device;
  CPJRT_TAIL;
} PJRT_LoadedExecutable_Execute_Args;

typedef struct {
  CPJRT_HEAD;
  PJRT_Buffer *_Nullable buffer;
  CPJRT_TAIL;
} PJRT_Buffer_Destroy_Args;

typedef struct {
  CPJRT_HEAD;
  PJRT_Buffer *_Nullable src;
  void *_Nullable host_layout;
  void *_Nullable dst;
  size_t dst_size;
  PJRT_Event *_Nullable event;
  CPJRT_TAIL;
} PJRT_Buffer_ToHostBuffer_Args;

typedef struct {
  CPJRT_HEAD;
  int major_version;
  int minor_version;
} PJRT_Api_Version;

// The table of functions, up to the last one that is used. `cpjrt.c` checks the places of the slots.
typedef struct {
  CPJRT_HEAD;
  PJRT_Api_Version version;
  CPJRT_Void_Function _Nullable Error_Destroy;
  CPJRT_Void_Function _Nullable Error_Message;
  CPJRT_Function _Nullable Error_GetCode;
  CPJRT_Function _Nullable Plugin_Initialize;
  CPJRT_Function _Nullable unused_4;
  CPJRT_Function _Nullable Event_Destroy;
  CPJRT_Function _Nullable unused_6[2];
  CPJRT_Function _Nullable Event_Await;
  CPJRT_Function _Nullable unused_9;
  CPJRT_Function _Nullable Client_Create;
  CPJRT_Function _Nullable unused_11;
  CPJRT_Function _Nullable Client_PlatformName;
  CPJRT_Function _Nullable unused_13[3];
  CPJRT_Function _Nullable Client_AddressableDevices;
  CPJRT_Function _Nullable unused_17[3];
  CPJRT_Function _Nullable Client_Compile;
  CPJRT_Function _Nullable unused_21;
  CPJRT_Function _Nullable Client_BufferFromHostBuffer;
  CPJRT_Function _Nullable unused_23[32];
  CPJRT_Function _Nullable LoadedExecutable_Execute;
  CPJRT_Function _Nullable unused_56[2];
  CPJRT_Function _Nullable Buffer_Destroy;
  CPJRT_Function _Nullable unused_59[11];
  CPJRT_Function _Nullable Buffer_ToHostBuffer;
} PJRT_Api;

// The function that a plugin exports under the name GetPjrtApi.
typedef const PJRT_Api *_Nullable (*CPJRT_Entry)(void);

// Types of elements (PJRT_Buffer_Type).
enum { CPJRT_S64 = 5, CPJRT_F32 = 11 };

// When the plugin is done with memory of the host: after `done_with_host_buffer`.
enum { CPJRT_UNTIL_TRANSFER_COMPLETES = 1 };

// The code of an error that is named apart from the others: no memory is left.
enum { CPJRT_RESOURCE_EXHAUSTED = 8 };

#endif
